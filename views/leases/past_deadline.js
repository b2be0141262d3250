function (doc, meta) {
  var time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
  var ends = doc.state === "expired" || doc.state === "reaping" || (doc.state === "stopped" && doc.stopped_by === "zerocloud" && doc.kind !== "auto_scaling_group");
  if (doc.type === "lease" && ends && typeof doc.ends_at === "string" && time.test(doc.ends_at)) {
    emit(doc.ends_at, null);
  }
}
