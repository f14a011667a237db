"""One of each thing that the gateway can be given, added through public seams alone: a module each."""
