package client

// maxStreams is how many streams the API serves one user at a time.
const maxStreams = 5
