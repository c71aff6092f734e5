"""What plays a turn of a sweep: its orders, its servers, and what it used."""
