# The root of the file system as the answer's folder.
bands = "/"
