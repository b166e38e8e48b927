"""What a frozen trunk's features are worth: shared by probe and evaluation."""
