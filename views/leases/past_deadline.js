function (doc, meta) {
  var ends = doc.state === "expired" || doc.state === "reaping" || (doc.state === "stopped" && doc.stopped_by === "zerocloud");
  if (doc.type === "lease" && ends && typeof doc.ends_at === "string") {
    emit(doc.ends_at, null);
  }
}
