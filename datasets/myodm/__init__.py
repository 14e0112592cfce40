"""MyoDM: objects of GRAB with recorded grasps."""
