B
predictionJHúÛ1Cd§(C|‚ìBgÐC½ö)C'j'C–ýCbØBÉC°ø(C£]C`¹ICpŠ:C‹ÂüB
CÀÏPC80úBÇ{)C