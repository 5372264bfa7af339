"""What an environment gives the deployables and the templates of both clouds."""
