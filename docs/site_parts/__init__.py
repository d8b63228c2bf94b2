"""Pages of the site that are made from the package, so that they cannot fall behind it."""
