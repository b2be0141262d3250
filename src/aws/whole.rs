//! Refuses an answer that was cut off. The SDK reads XML as far as it goes, so a body that ends after some instance would
//! pass for a complete page without a next one.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// Every answer of EC2 is one element whose name ends in `Response`.
#[derive(Debug)]
pub(super) struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "WholeAnswers"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // An answer that is an error, or broke off on the way, is one already.
        let read = context.output_or_error().is_ok();
        if read && !is_whole(context.response().body().bytes().unwrap_or_default()) {
            return Err("the answer was cut off".into());
        }
        Ok(())
    }
}

/// Whether the last tag closes an element named `…Response`.
fn is_whole(body: &[u8]) -> bool {
    let body = body.trim_ascii_end();
    let last = body.iter().rposition(|byte| *byte == b'<').map_or(&[][..], |at| &body[at..]);
    last.starts_with(b"</") && last.ends_with(b"Response>")
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn only_a_closed_answer_is_whole() {
        assert!(is_whole(b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>\n"));
        for cut in [
            "",
            "<DescribeInstancesResponse>",
            "<DescribeInstancesResponse><reservationSet><item/>",
            "<DescribeInstancesResponse><reservationSet/></DescribeInstancesRes",
            "</DescribeInstancesResponse>rest",
            "Response>",
        ] {
            assert!(!is_whole(cut.as_bytes()), "{cut}");
        }
    }
}
