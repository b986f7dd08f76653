"""Records of any source as arrays and tables: read strictly, checked, never repaired."""
