"""Pages for people, a module each. All of them work without scripts; `static/app.js` makes some of it quicker."""
