function (doc, meta) {
  var told = doc.notified && doc.notified.term === doc.term && doc.notified.kind === "expired";
  if (doc.type === "lease" && doc.state === "expired" && !told && typeof doc.expires_at === "string") {
    emit(doc.expires_at, null);
  }
}
