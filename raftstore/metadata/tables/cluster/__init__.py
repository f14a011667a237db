"""Tables of the cluster itself: its state, its time, its members and jobs."""
