const shell = "/web/HASH/"
