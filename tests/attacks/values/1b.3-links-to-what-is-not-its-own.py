# Links in the folder, to files of the machine and to the folder itself.
bands = lab.folder / "linked"
bands.mkdir()
(bands / "passwd.json").symlink_to("/etc/passwd")
(bands / "again.json").symlink_to(bands)
