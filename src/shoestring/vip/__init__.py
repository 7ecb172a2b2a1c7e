"""Floating addresses, by keepalived and VRRP."""
