greeting "${1:-nobody}"
