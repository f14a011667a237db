"""Tables of names: directories, files and their versions, what is reserved, what waits in the trash."""
