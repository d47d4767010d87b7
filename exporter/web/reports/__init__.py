"""Reports over HTTP: made in a process of their own, so that no question can hold up polls and scrapes."""
