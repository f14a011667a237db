"""The protocol of the old scp (`scp -O`, cameras, network devices): `scp -t` takes files, `scp -f` gives them."""
