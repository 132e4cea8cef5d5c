"""The explorer: a local page that shows pictures in few colours, and the classifier's answers to them.

:class:`colorcnn.explorer.explorer.Explorer` answers requests with declared structures and knows no server.
:class:`colorcnn.explorer.app.App` is the thin WSGI application around it.
"""
