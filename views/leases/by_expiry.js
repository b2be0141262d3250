function (doc, meta) {
  var time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
  if (doc.type === "lease" && (doc.state === "active" || doc.state === "expired") && typeof doc.expires_at === "string" && time.test(doc.expires_at)) {
    emit(doc.expires_at, null);
  }
}
