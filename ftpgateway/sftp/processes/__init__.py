"""The worker processes of SSH, and connections that wait for one."""
