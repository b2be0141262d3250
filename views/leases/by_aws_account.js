function (doc, meta) {
  var over = doc.state === "terminated" || doc.state === "gone";
  var readable = typeof doc.aws_id === "string" && typeof doc.region === "string" && typeof doc.resource_id === "string";
  if (doc.type === "lease" && !over && readable) {
    emit([doc.aws_id, doc.region, doc.resource_id], null);
  }
}
