"""Bones that are built from tables of anatomical measurements."""
