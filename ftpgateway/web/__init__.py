"""The web: pages and a JSON API for people who look at pictures, over HTTP and HTTPS.

A front-end like FTP and SFTP. `server` listens; `http1` is the adapter to uvicorn; `guard` bounds each request and
decides by `security` what is refused; `sessions` signs people in, by `tokens`; `app` has the routes to `pages` and
`api`.
"""
