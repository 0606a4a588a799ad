"""The ground floor: nodes, and the tools that print, read, check, simplify and run them."""
