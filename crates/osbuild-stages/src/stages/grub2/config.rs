//! The texts of `grub.cfg` and `/etc/default/grub`, byte for byte as upstream writes them.

use std::fmt::Write;

use serde::Deserialize;

/// The start of the menu; in `SEARCH` and on top of it things are put.
const HEAD: &str = r#"
# load the grubenv file
load_env

# selection of the next boot entry via variables 'next_entry' and
# `saved_entry` present in the 'grubenv' file. Both variables are
# set by grub tools, like grub2-reboot, grub2-set-default

if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="${saved_entry}"
fi
"#;

const VIDEO: &str = "set boot=${root}
function load_video {
  insmod all_video
}
";

const GREENBOOT: &str = r#"
# greenboot support, aka boot counter and boot success reporting
insmod increment
# Check if boot_counter exists and boot_success=0 to activate this behaviour.
if [ -n "${boot_counter}" -a "${boot_success}" = "0" ]; then
  # if countdown has ended, choose to boot rollback deployment,
  # i.e. default=1 on OSTree-based systems.
  if  [ "${boot_counter}" = "0" -o "${boot_counter}" = "-1" ]; then
    set default=1
    set boot_counter=-1
  # otherwise decrement boot_counter
  else
    decrement boot_counter
  fi
  save_env boot_counter
fi

# Reset boot_success for current boot
set boot_success=0
save_env boot_success
"#;

/// What is at `HOME` is where the boot file system has its top.
const IGNITION: &str = r#"
# Ignition support
set ignition_firstboot=""
if [ -f "HOMEignition.firstboot" ]; then
    # Default networking parameters to be used with ignition.
    set ignition_network_kcmdline=''

    # Source in the `ignition.firstboot` file which could override the
    # above $ignition_network_kcmdline with static networking config.
    # This override feature is primarily used by coreos-installer to
    # persist static networking config provided during install to the
    # first boot of the machine.
    source "HOMEignition.firstboot"

    set ignition_firstboot="ignition.firstboot ${ignition_network_kcmdline}"
fi
"#;

/// Settings of the menu.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    default: Option<String>,
    disable_recovery: Option<bool>,
    disable_submenu: Option<bool>,
    distributor: Option<String>,
    terminal: Option<Vec<String>>,
    terminal_input: Option<Vec<String>>,
    terminal_output: Option<Vec<String>>,
    #[serde(default)]
    timeout: u64,
    timeout_style: Option<String>,
    serial: Option<String>,
}

/// What `grub.cfg` is made of.
#[derive(Debug)]
pub(super) struct Menu<'a> {
    /// How `search` finds the file system with the kernels.
    pub(super) search: String,
    /// Where `/boot` is on that file system, with a slash at its end.
    pub(super) home: &'static str,
    pub(super) has_ignition: bool,
    pub(super) has_greenboot: bool,
    /// Quirk of upstream's first version: variables that nothing was given for stay in the text.
    pub(super) keeps_unset_variables: bool,
    pub(super) settings: &'a Settings,
}

impl Menu<'_> {
    /// The menu.
    pub(super) fn text(&self) -> String {
        let settings = self.settings;
        let unset = |name: &str| {
            if self.keeps_unset_variables {
                format!("${{{name}}}")
            } else {
                String::new()
            }
        };
        let serial = match text(settings.serial.as_ref()) {
            Some(command) => format!("\n{command}"),
            None => unset("serial"),
        };
        let terminal = |name: &str, terminals: Option<&Vec<String>>| match words(terminals) {
            Some(words) => format!("\n{name} {words}"),
            None => unset(name),
        };
        let input = terminal("terminal_input", settings.terminal_input.as_ref());
        let output = terminal("terminal_output", settings.terminal_output.as_ref());
        let features = self.features();
        format!(
            "\nset timeout={}\n{HEAD}\nsearch --no-floppy --set=root {}\n{VIDEO}{features}{serial}{input}{output}\nblscfg\n",
            settings.timeout, self.search
        )
    }

    fn features(&self) -> String {
        let ignition = IGNITION.replace("HOME", self.home);
        let wanted = [
            (self.has_ignition, ignition.as_str()),
            (self.has_greenboot, GREENBOOT),
        ];
        let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted);
        wanted.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
    }

    /// A `grub.cfg` that leads to the one in `/boot/grub2`.
    pub(super) fn redirection(&self) -> String {
        let home = self.home;
        format!(
            "\nsearch --no-floppy --set prefix --file {home}grub2/grub.cfg\n\
             set prefix=($prefix){home}grub2\nconfigfile $prefix/grub.cfg\n"
        )
    }
}

impl Settings {
    /// The text of `/etc/default/grub`.
    pub(super) fn defaults(&self, kernel_options: &str) -> String {
        let mut text = format!(
            "GRUB_CMDLINE_LINUX=\"{kernel_options}\"\nGRUB_TIMEOUT={}\nGRUB_ENABLE_BLSCFG=true\n",
            self.timeout
        );
        let quoted = |value: Option<String>| value.map(|value| format!("\"{value}\""));
        let own = |value: &Option<String>| self::text(value.as_ref()).cloned();
        let lines = [
            (
                "DISABLE_RECOVERY",
                self.disable_recovery.map(|is_set| is_set.to_string()),
            ),
            (
                "DISABLE_SUBMENU",
                self.disable_submenu.map(|is_set| is_set.to_string()),
            ),
            ("DISTRIBUTOR", quoted(own(&self.distributor))),
            ("SERIAL_COMMAND", quoted(own(&self.serial))),
            ("TERMINAL", quoted(words(self.terminal.as_ref()))),
            (
                "TERMINAL_INPUT",
                quoted(words(self.terminal_input.as_ref())),
            ),
            (
                "TERMINAL_OUTPUT",
                quoted(words(self.terminal_output.as_ref())),
            ),
            ("TIMEOUT_STYLE", own(&self.timeout_style)),
            ("DEFAULT", self.default.clone()),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                writeln!(text, "GRUB_{name}={value}").expect("writing to a string does not fail");
            }
        }
        text
    }
}

/// An empty text counts as none.
fn text(value: Option<&String>) -> Option<&String> {
    value.filter(|value| !value.is_empty())
}

fn words(list: Option<&Vec<String>>) -> Option<String> {
    list.filter(|list| !list.is_empty())
        .map(|list| list.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(settings: &Settings) -> Menu<'_> {
        Menu {
            search: "--label root".to_owned(),
            home: "/boot/",
            has_ignition: false,
            has_greenboot: false,
            keeps_unset_variables: false,
            settings,
        }
    }

    fn settings() -> Settings {
        Settings {
            default: Some("0".to_owned()),
            disable_recovery: Some(true),
            disable_submenu: Some(false),
            distributor: Some("$(sed)".to_owned()),
            terminal: Some(vec!["serial".to_owned()]),
            terminal_input: Some(vec!["serial".to_owned(), "console".to_owned()]),
            terminal_output: Some(Vec::new()),
            timeout: 5,
            timeout_style: Some("countdown".to_owned()),
            serial: Some("serial --unit=0".to_owned()),
        }
    }

    #[test]
    fn defaults_are_written_for_what_is_set() {
        assert_eq!(
            settings().defaults("ro"),
            "GRUB_CMDLINE_LINUX=\"ro\"\nGRUB_TIMEOUT=5\nGRUB_ENABLE_BLSCFG=true\nGRUB_DISABLE_RECOVERY=true\n\
             GRUB_DISABLE_SUBMENU=false\nGRUB_DISTRIBUTOR=\"$(sed)\"\nGRUB_SERIAL_COMMAND=\"serial --unit=0\"\n\
             GRUB_TERMINAL=\"serial\"\nGRUB_TERMINAL_INPUT=\"serial console\"\nGRUB_TIMEOUT_STYLE=countdown\n\
             GRUB_DEFAULT=0\n"
        );
    }

    #[test]
    fn the_menu_ends_with_terminals_and_entries() {
        let end = |menu: &Menu<'_>| {
            menu.text()
                .rsplit_once("all_video\n}\n")
                .unwrap()
                .1
                .to_owned()
        };
        let settings = settings();
        assert_eq!(
            end(&menu(&settings)),
            "\nserial --unit=0\nterminal_input serial console\nblscfg\n"
        );
        let (none, first) = (Settings::default(), true);
        let mut menu = menu(&none);
        assert_eq!(end(&menu), "\nblscfg\n");
        menu.keeps_unset_variables = first;
        assert_eq!(
            end(&menu),
            "${serial}${terminal_input}${terminal_output}\nblscfg\n"
        );
    }

    #[test]
    fn features_are_put_before_terminals() {
        let settings = Settings::default();
        let mut menu = menu(&settings);
        menu.has_ignition = true;
        menu.has_greenboot = true;
        let text = menu.text();
        let (ignition, greenboot) = text.split_once("# greenboot support").unwrap();
        assert!(
            ignition.contains("if [ -f \"/boot/ignition.firstboot\" ]"),
            "{ignition}"
        );
        assert!(ignition.ends_with("fi\n\n\n"), "{ignition:?}");
        assert!(
            greenboot.ends_with("save_env boot_success\n\nblscfg\n"),
            "{greenboot}"
        );
    }
}
