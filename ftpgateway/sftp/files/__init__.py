"""Files that an SFTP session has open."""
