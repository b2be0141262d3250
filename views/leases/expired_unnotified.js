function (doc, meta) {
  var time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
  var told = doc.notified && doc.notified.term === doc.term && doc.notified.kind === "expired";
  if (doc.type === "lease" && doc.state === "expired" && !told && typeof doc.expires_at === "string" && time.test(doc.expires_at)) {
    emit(doc.expires_at, null);
  }
}
