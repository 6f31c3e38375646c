"""Files in general: whole or absent, images, videos, inputs of users, colours."""
