"""Trying a definition from outside: the child that holds it, how a child is started, and the driver that leads it."""
