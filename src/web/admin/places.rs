//! Places of AWS for a table: what many regions of an AWS account have in common is said once, and regions where nothing is share
//! a row.

use super::numbers::{Count, Row};
use minijinja::{Value, context};

/// One row: regions of one AWS account that stand alike.
struct Line<'a> {
    row: &'a Row,
    said: String,
    regions: Vec<&'a str>,
}

/// A sentence that is true of several regions of an AWS account.
#[derive(Debug)]
pub(super) struct Common<'a> {
    row: &'a Row,
    said: String,
    regions: Vec<&'a str>,
    /// Whether it is true of every region there.
    everywhere: bool,
}

impl Common<'_> {
    fn is_of(&self, row: &Row, said: &str) -> bool {
        self.row.aws_id == row.aws_id && self.row.standing() == row.standing() && self.said == said
    }

    /// For a template.
    pub(super) fn shown(&self) -> Value {
        context! {
            aws_id => self.row.aws_id.as_str(), aws_name => &self.row.aws_name, state => self.row.standing(),
            said => &self.said, regions => &self.regions, everywhere => self.everywhere,
        }
    }
}

fn region(row: &Row) -> &str {
    row.region.as_ref().map_or("all regions", |region| region.as_str())
}

/// What the poll said, without the region that it said it of.
fn said(row: &Row) -> String {
    let why = row.polled.as_ref().map(|polled| polled.why.as_str()).unwrap_or_default();
    why.replace(&format!(" ({})", region(row)), "")
}

/// What is said of more than one region.
pub(super) fn common<'a>(rows: &[&'a Row]) -> Vec<Common<'a>> {
    let mut all: Vec<Common<'a>> = Vec::new();
    for row in rows {
        let said = said(row);
        match all.iter_mut().find(|it| it.is_of(row, &said)) {
            _ if said.is_empty() => {}
            Some(known) => known.regions.push(region(row)),
            None => all.push(Common { row, said, regions: vec![region(row)], everywhere: false }),
        }
    }
    all.retain(|it| it.regions.len() > 1);
    for it in &mut all {
        it.everywhere = it.regions.len() == rows.iter().filter(|row| row.aws_id == it.row.aws_id).count();
    }
    all
}

/// What is said of this one alone.
pub(super) fn own(row: &Row, common: &[Common<'_>]) -> String {
    let said = said(row);
    if common.iter().any(|it| it.is_of(row, &said)) { String::new() } else { said }
}

/// Rows in their order; those without an instance that stand alike and have the same said of them are one.
fn lines<'a>(rows: &[&'a Row], common: &[Common<'_>]) -> Vec<Line<'a>> {
    let mut all: Vec<Line<'a>> = Vec::new();
    for row in rows {
        let said = own(row, common);
        let alike = |line: &&mut Line<'_>| {
            let empty = row.count == Count::default() && line.row.count == row.count && row.standing() != "paused";
            empty && line.row.aws_id == row.aws_id && line.row.standing() == row.standing() && line.said == said
        };
        match all.iter_mut().find(alike) {
            Some(line) => line.regions.push(region(row)),
            None => all.push(Line { row, said, regions: vec![region(row)] }),
        }
    }
    all
}

/// The rows for a template.
pub(super) fn shown(rows: &[&Row], common: &[Common<'_>]) -> Vec<Value> {
    let lines = lines(rows, common).into_iter().map(|line| {
        context! {
            aws_id => line.row.aws_id.as_str(), aws_name => &line.row.aws_name, regions => line.regions,
            count => &line.row.count, state => line.row.standing(), said => line.said,
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::{common, lines};
    use crate::model::{AwsId, Region};
    use crate::web::admin::numbers::{Count, Row};
    use crate::web::admin::polls::Place;

    fn row(region: &str, running: usize, state: &'static str, why: &str) -> Row {
        Row {
            aws_id: AwsId::parse("444455556666").unwrap(),
            aws_name: "Second".to_owned(),
            region: Some(Region::parse(region).unwrap()),
            count: Count { running, leased: running, ..Count::default() },
            polled: Some(Place { state, why: why.to_owned(), seen: running }),
            state: "ok".to_owned(),
        }
    }

    #[test]
    fn what_is_missing_in_every_region_is_said_once_and_empty_regions_share_a_row() {
        let lacks = |region: &str| format!("AWS account 444455556666 ({region}) does not let zerocloud call it");
        let names = ["ap-south-1", "eu-north-1", "us-east-1", "us-west-2"];
        let mut rows: Vec<Row> = names.iter().map(|name| row(name, 0, "read", &lacks(name))).collect();
        rows[2] = row("us-east-1", 3, "read", &lacks("us-east-1"));
        rows.push(row("eu-central-1", 0, "denied", "a policy of the organisation"));
        let rows: Vec<&Row> = rows.iter().collect();
        let common = common(&rows);
        assert_eq!(common.len(), 1);
        assert_eq!(common[0].said, "AWS account 444455556666 does not let zerocloud call it");
        assert_eq!((common[0].regions.join(" "), common[0].everywhere), (names.join(" "), false));
        let lines = lines(&rows, &common);
        let told: Vec<(String, usize, &str)> =
            lines.iter().map(|line| (line.regions.join(" "), line.row.count.running, line.said.as_str())).collect();
        let wanted = [
            ("ap-south-1 eu-north-1 us-west-2", 0, ""),
            ("us-east-1", 3, ""),
            ("eu-central-1", 0, "a policy of the organisation"),
        ];
        assert_eq!(told, wanted.map(|(regions, running, said)| (regions.to_owned(), running, said)));
    }

    #[test]
    fn a_region_that_is_paused_has_a_row_of_its_own() {
        let mut rows: Vec<Row> = ["eu-west-1", "us-east-1"].map(|name| row(name, 0, "paused", "a drop")).into();
        for row in &mut rows {
            "paused".clone_into(&mut row.state);
        }
        let rows: Vec<&Row> = rows.iter().collect();
        assert_eq!(lines(&rows, &common(&rows)).len(), 2);
    }
}
