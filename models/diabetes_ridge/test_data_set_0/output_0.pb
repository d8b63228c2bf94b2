B
predictionJHùÛ1Cc§(Cz‚ìBfÐC¼ö)C'j'C•ýC`ØBÉC¯ø(C¢]C_¹ICoŠ:CˆÂüB
C¾ÏPC60úBÅ{)C