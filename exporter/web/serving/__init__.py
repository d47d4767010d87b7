"""Sockets, connections and HTTP itself: what happens to bytes before the application is asked, and after."""
