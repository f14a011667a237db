"""The only modules that know the inside of pysyncobj."""
