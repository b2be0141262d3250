//! The role as something to apply: the files of `aws-setup/` with their parameters filled in, and the same in plain steps of
//! the AWS command line.

use super::role::{CLOUDFORMATION, Wanted};
use std::fmt::Write as _;

const TERRAFORM: &str = include_str!("../../aws-setup/role.tf");

/// What to apply it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A CloudFormation template.
    CloudFormation,
    /// A Terraform configuration.
    Terraform,
    /// Steps of the AWS command line.
    Cli,
}

impl Kind {
    /// In the order in which they are offered.
    pub const ALL: [Kind; 3] = [Kind::CloudFormation, Kind::Terraform, Kind::Cli];

    /// As addresses name it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::CloudFormation => "cloudformation",
            Kind::Terraform => "terraform",
            Kind::Cli => "cli",
        }
    }

    /// What that word means.
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// A good name for the file.
    pub fn file(self) -> &'static str {
        match self {
            Kind::CloudFormation => "zerocloud-role.yaml",
            Kind::Terraform => "zerocloud-role.tf",
            Kind::Cli => "zerocloud-role.sh",
        }
    }
}

/// The text to apply; `again` when the role stands there already.
pub(super) fn render(kind: Kind, wanted: &Wanted, again: bool) -> String {
    match kind {
        Kind::CloudFormation => cloudformation(wanted),
        Kind::Terraform => terraform(wanted),
        Kind::Cli => steps(wanted, again),
    }
}

/// How the file is applied. CloudFormation keeps the parameters of a stack that is there, so each is said.
pub(super) fn command(kind: Kind, wanted: &Wanted) -> String {
    match kind {
        Kind::CloudFormation => {
            let mut out = format!(
                "aws cloudformation deploy --stack-name zerocloud \\\n  --template-file {} \\\n  \
                 --capabilities CAPABILITY_NAMED_IAM --parameter-overrides",
                kind.file()
            );
            for (name, value) in wanted.parameters() {
                let _ = write!(out, " \\\n  {}", in_shell(&format!("{name}={value}")));
            }
            out
        }
        Kind::Terraform => "terraform init && terraform apply".to_owned(),
        Kind::Cli => format!("sh {}", kind.file()),
    }
}

fn cloudformation(wanted: &Wanted) -> String {
    wanted.parameters().into_iter().fold(CLOUDFORMATION.to_owned(), |text, (name, value)| {
        with_default(&text, &format!("\n  {name}:\n"), ["    Type:", "    Default:"], &format!(" {}", quoted(value)))
    })
}

fn terraform(wanted: &Wanted) -> String {
    let names =
        ["principal", "external_id", "former_external_id", "role_name", "ends", "tags", "owner_tag", "launches"];
    let parameters = wanted.parameters().into_iter().map(|(_, value)| value);
    names.into_iter().zip(parameters).fold(TERRAFORM.to_owned(), |text, (name, value)| {
        let value = match name {
            "launches" => (value == "yes").to_string(),
            // Terraform reads templates in texts.
            _ => quoted(value).replace("${", "$${").replace("%{", "%%{"),
        };
        let head = format!("\nvariable \"{name}\" {{\n");
        with_default(&text, &head, ["  type", "  default"], &format!("     = {value}"))
    })
}

/// As JSON, YAML and HCL write a text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text with the default of the parameter that `head` begins: in place of the one that it has, else after its type.
fn with_default(text: &str, head: &str, [kind, default]: [&str; 2], value: &str) -> String {
    let Some(at) = text.find(head).map(|at| at + head.len()) else { return text.to_owned() };
    let (before, rest) = text.split_at(at);
    let indent = &kind[..kind.len() - kind.trim_start().len()];
    let block: Vec<&str> = rest.split_inclusive('\n').take_while(|line| line.starts_with(indent)).collect();
    let has = block.iter().any(|line| line.starts_with(default));
    let after: usize = block.iter().map(|line| line.len()).sum();
    let mut out = before.to_owned();
    for line in block {
        let is_default = line.starts_with(default);
        if !is_default {
            out.push_str(line);
        }
        if is_default || (!has && line.starts_with(kind)) {
            let _ = writeln!(out, "{default}{value}");
        }
    }
    out + &rest[after..]
}

fn steps(wanted: &Wanted, again: bool) -> String {
    let (role, trust) = (in_shell(&wanted.role_name), in_shell(&wanted.trust().to_string()));
    let mut out = format!(
        "# The role that zerocloud assumes in AWS account {}, with credentials there that may change IAM.\nset -e\n",
        wanted.aws_id
    );
    let _ = if again {
        writeln!(out, "aws iam update-assume-role-policy --role-name {role} --policy-document {trust}")
    } else {
        let about = in_shell("Assumed by zerocloud, which gives every instance a lease");
        writeln!(
            out,
            "aws iam create-role --role-name {role} --max-session-duration 3600 --description {about} \\\n  \
             --assume-role-policy-document {trust}"
        )
    };
    for policy in wanted.policies() {
        let (name, document) = (in_shell(&policy.name), in_shell(&policy.document.to_string()));
        if !policy.wanted {
            if again {
                let _ = writeln!(
                    out,
                    "aws iam delete-role-policy --role-name {role} --policy-name {name} 2>/dev/null || true"
                );
            }
            continue;
        }
        let _ = writeln!(
            out,
            "aws iam put-role-policy --role-name {role} --policy-name {name} \\\n  --policy-document {document}"
        );
    }
    let _ = writeln!(out, "aws iam get-role --role-name {role} --query Role.Arn --output text");
    out
}

/// One word for a shell, whatever is in it.
fn in_shell(text: &str) -> String {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::super::role::tests::wanted;
    use super::{Kind, command, render};
    use crate::connect::role::Ends;

    #[test]
    fn the_template_is_the_file_with_its_parameters_filled_in_and_nothing_else() {
        let mut wanted = wanted();
        (wanted.ends, wanted.former) = (Ends::Stop, "one-before/it".to_owned());
        let text = render(Kind::CloudFormation, &wanted, false);
        let read: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
        for (name, value) in wanted.parameters() {
            assert_eq!(read["Parameters"][name]["Default"].as_str(), Some(value), "{name}");
        }
        let plain = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.contains("Default:")).map(str::to_owned).collect()
        };
        assert_eq!(plain(&text), plain(super::CLOUDFORMATION));
    }

    #[test]
    fn terraform_gets_its_variables_filled_in_and_reads_no_template_in_them() {
        let mut wanted = wanted();
        "${own}er".clone_into(&mut wanted.owner_tag);
        let text = render(Kind::Terraform, &wanted, false);
        for line in [
            "variable \"principal\" {\n  type        = string\n  default     = \"arn:aws:iam::444455556666:role/zerocloud-service\"\n",
            "variable \"external_id\" {\n  type        = string\n  default     = \"0123456789abcdef0123\"\n",
            "variable \"ends\" {\n  type        = string\n  default     = \"none\"\n",
            "variable \"owner_tag\" {\n  type        = string\n  default     = \"$${own}er\"\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.matches("variable \"").count(), super::TERRAFORM.matches("variable \"").count());
    }

    #[test]
    fn a_role_that_may_ask_cloudtrail_keeps_that_in_every_template_while_the_setting_is_on() {
        let mut wanted = wanted();
        for on in [false, true] {
            wanted.launches = on;
            let text = |kind| render(kind, &wanted, true);
            let (stack, file, steps) = (text(Kind::CloudFormation), text(Kind::Terraform), text(Kind::Cli));
            let read: serde_yaml_ng::Value = serde_yaml_ng::from_str(&stack).unwrap();
            assert_eq!(read["Parameters"]["Launches"]["Default"], if on { "yes" } else { "no" });
            let applied = command(Kind::CloudFormation, &wanted);
            assert!(applied.contains(if on { "Launches=yes" } else { "Launches=no" }), "{applied}");
            let variable = format!("variable \"launches\" {{\n  type        = bool\n  default     = {on}\n");
            assert!(file.contains(&variable), "{file}");
            let (put, delete) = ("put-role-policy", "delete-role-policy");
            let verb = |verb| format!("aws iam {verb} --role-name zerocloud --policy-name launches ");
            assert_eq!((steps.contains(&verb(put)), steps.contains(&verb(delete))), (on, !on), "{steps}");
        }
    }

    #[test]
    fn plain_steps_make_the_role_or_renew_it() {
        let mut wanted = wanted();
        (wanted.tags, wanted.owner_tag) = (true, "o'wner".to_owned());
        let text = render(Kind::Cli, &wanted, false);
        assert!(text.contains("aws iam create-role --role-name zerocloud ") && text.contains("--policy-name see "));
        assert!(text.contains("--policy-name tag ") && !text.contains("--policy-name stop"), "{text}");
        assert!(text.contains(r"o'\''wner"), "{text}");
        let text = render(Kind::Cli, &wanted, true);
        assert!(text.contains("aws iam update-assume-role-policy --role-name zerocloud ") && !text.contains("create-"));
        assert!(text.contains("aws iam delete-role-policy --role-name zerocloud --policy-name stop "), "{text}");
    }
}
