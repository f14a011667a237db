"""The web: pages and a JSON API for people who look at pictures, over HTTP and HTTPS.

A front-end like FTP and SFTP. `server` listens; `http` bounds each request and decides what is refused; `sessions`
signs people in, by `tokens`; `app` leads to `pages` and `api`, which use `files` for bytes and `listing` for
directories.
"""
