"""An Acme syringe pump for Lumiflow."""
