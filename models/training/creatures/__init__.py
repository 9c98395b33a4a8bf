"""The world of the bundled pack: procedurally drawn cartoon creatures and texts about them. Everything here is our own."""
