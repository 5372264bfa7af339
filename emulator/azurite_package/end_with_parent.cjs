// Ends Azurite when whoever started it is gone, however that ended: its end of the pipe closes.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
