"""Image files and arrays: the only room that knows uint8, uint16, BGR, alpha and EXIF."""
