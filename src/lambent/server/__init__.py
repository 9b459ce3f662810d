"""The one HTTP endpoint: listening, who may talk at all, routing, the wire protocols, error rendering."""
