//! Which PINs are refused, and how one is made (hipaa-controls 5.3, 1).

use crate::limits;
use crate::{Number, Pin};

/// Why a PIN is refused. The text never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinRefused {
    /// Fewer digits than a chosen PIN must have.
    #[error("a PIN has at least 6 digits")]
    Short,
    /// One of the PINs that everybody tries first, or a shape on the keypad.
    #[error("this PIN is among the first that anybody would try")]
    Popular,
    /// One digit, pairs or a group repeated.
    #[error("a PIN does not repeat itself")]
    Repeats,
    /// Digits that count up or down.
    #[error("a PIN does not count up or down")]
    Run,
    /// A date or a year of birth.
    #[error("a PIN is no date")]
    Date,
    /// The person's or mailbox's number, forwards or backwards.
    #[error("a PIN holds no number of its owner")]
    OwnNumber,
}

/// A random PIN of eight digits that the rules accept.
///
/// `random` is used up to the last bit that is needed; the same bytes give the same PIN.
#[must_use]
pub fn generate(random: [u8; 32], own: &[Number]) -> Pin {
    const SPAN: u64 = 10_u64.pow(limits::PIN_GENERATED_LENGTH as u32);
    let words =
        random.chunks_exact(8).filter_map(|chunk| Some(u64::from_le_bytes(chunk.try_into().ok()?)));
    let mut last = 0;
    for word in words {
        last = word % SPAN;
        if let Some(pin) = accepted(last, own) {
            return pin;
        }
    }
    // Four refused ones in a row happen once in some ten thousand draws: the next acceptable one then.
    (1..SPAN)
        .find_map(|step| accepted((last + step) % SPAN, own))
        .expect("the rules refuse far fewer than all PINs of eight digits")
}

fn accepted(value: u64, own: &[Number]) -> Option<Pin> {
    let digits = format!("{value:0width$}", width = limits::PIN_GENERATED_LENGTH);
    let pin = Pin::new(&digits).ok()?;
    check(&pin, own).is_ok().then_some(pin)
}

/// Whether a PIN may be somebody's whose numbers these are.
///
/// # Errors
///
/// The first rule that refuses it.
pub fn check(pin: &Pin, own: &[Number]) -> Result<(), PinRefused> {
    let digits = pin.expose().as_bytes();
    if digits.len() < limits::PIN_CHOSEN_LENGTH_MIN {
        return Err(PinRefused::Short);
    }
    if repeats(digits) {
        return Err(PinRefused::Repeats);
    }
    if runs(digits) {
        return Err(PinRefused::Run);
    }
    if popular(pin.expose()) {
        return Err(PinRefused::Popular);
    }
    if date(digits) {
        return Err(PinRefused::Date);
    }
    if own.iter().any(|number| holds(digits, number.as_str().as_bytes())) {
        return Err(PinRefused::OwnNumber);
    }
    Ok(())
}

/// 000000, 121212, 123123, 11223344: fewer than three different digits, a group repeated to the end, or every digit
/// twice.
fn repeats(digits: &[u8]) -> bool {
    let mut seen = [false; 10];
    for digit in digits {
        seen[usize::from(digit - b'0')] = true;
    }
    let different = seen.iter().filter(|seen| **seen).count();
    let group = (1..=digits.len() / 2)
        .any(|period| digits.iter().skip(period).eq(digits.iter().take(digits.len() - period)));
    let pairs = digits.len().is_multiple_of(2) && digits.chunks(2).all(|pair| pair[0] == pair[1]);
    different < 3 || group || pairs
}

/// 123456, 987654, 890123, 135790: one step, round the corner, for all but one place.
fn runs(digits: &[u8]) -> bool {
    (1..10).any(|step| {
        let off = digits.windows(2).filter(|pair| (pair[0] - b'0' + step) % 10 != pair[1] - b'0');
        off.count() <= 1
    })
}

/// Columns, corners and crosses of the keypad, words, and numbers that lists of leaked PINs begin with.
fn popular(digits: &str) -> bool {
    const SHAPES: &[&str] = &[
        "147258", "258025", "258369", "369258", "258147", "147369", "159357", "357159", "753951",
        "951753", "159753", "357951", "147852", "852147", "963852", "852963", "741852", "963741",
        "789456", "456123", "654321", "321654", "147896", "789632", "123654", "123698", "321478",
        "741236", "963214", "142536", "143143", "520520", "112233", "123321", "135790", "246810",
        "102030", "314159", "271828", "696969", "420420", "007007", "101010",
    ];
    SHAPES.iter().any(|shape| digits.contains(shape))
}

/// 19xxxx and 20xxxx, and full dates in the three orders that people write.
fn date(digits: &[u8]) -> bool {
    let year = |at: usize| {
        let century = digits.get(at..at + 2);
        digits.len() >= at + 4 && matches!(century, Some(b"19" | b"20"))
    };
    match digits.len() {
        6 => {
            let (a, b, c) = (two(digits, 0), two(digits, 2), two(digits, 4));
            year(0) || year(2) || day_and_month(a, b) || day_and_month(b, c)
        }
        8 => {
            (year(4) && day_and_month(two(digits, 0), two(digits, 2)))
                || (year(0) && day_and_month(two(digits, 4), two(digits, 6)))
        }
        _ => false,
    }
}

fn two(digits: &[u8], at: usize) -> u8 {
    (digits[at] - b'0') * 10 + (digits[at + 1] - b'0')
}

fn day_and_month(a: u8, b: u8) -> bool {
    let pair = |day: u8, month: u8| (1..=31).contains(&day) && (1..=12).contains(&month);
    pair(a, b) || pair(b, a)
}

/// Whether the number, of three digits or more, stands in the PIN forwards or backwards.
fn holds(digits: &[u8], number: &[u8]) -> bool {
    let within = |number: &[u8]| digits.windows(number.len()).any(|window| window == number);
    let backwards: Vec<u8> = number.iter().rev().copied().collect();
    (3..=digits.len()).contains(&number.len()) && (within(number) || within(&backwards))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(digits: &str, own: &[&str]) -> Option<PinRefused> {
        let own: Vec<_> = own.iter().map(|number| Number::new(number).unwrap()).collect();
        check(&Pin::new(digits).unwrap(), &own).err()
    }

    /// hipaa-controls 2, "password management": every PIN that is named there.
    #[test]
    fn pins_that_everybody_tries_are_refused() {
        for digits in [
            "123456", "000000", "112233", "147258", "258025", "654321", "987654", "111111",
            "121212", "123123", "159753", "12345678", "87654321", "00000000", "11223344",
            "12341234", "89012345", "24681357", "13579135", "10203040",
        ] {
            assert!(refused(digits, &[]).is_some(), "{digits}");
        }
    }

    #[test]
    fn dates_and_years_of_birth_are_refused() {
        for digits in [
            "198407", "200912", "071984", "311284", "123184", "841231", "19840731", "31071984",
            "07311984", "20240229",
        ] {
            assert_eq!(refused(digits, &[]), Some(PinRefused::Date), "{digits}");
        }
    }

    #[test]
    fn a_number_of_the_owner_is_refused_forwards_and_backwards() {
        assert_eq!(refused("86700194", &["7001", "1001"]), Some(PinRefused::OwnNumber));
        assert_eq!(refused("86100794", &["7001"]), Some(PinRefused::OwnNumber));
        assert_eq!(refused("86700194", &["7002"]), None);
        assert_eq!(refused("86700194", &["70"]), None);
    }

    #[test]
    fn fewer_than_six_digits_are_refused() {
        assert_eq!(refused("83920", &[]), Some(PinRefused::Short));
        assert_eq!(refused("839207", &[]), None);
    }

    #[test]
    fn a_pin_is_made_also_where_the_random_bytes_are_none() {
        let pin = generate([0; 32], &[]);
        assert!(check(&pin, &[]).is_ok());
    }

    #[test]
    fn most_random_pins_are_accepted() {
        // One in five refused would be a bit of a PIN's worth given away.
        let refused = (0..10_000_u64).filter(|index| {
            let value = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 100_000_000;
            accepted(value, &[]).is_none()
        });
        assert!(refused.count() < 500);
    }

    proptest! {
        #[test]
        fn what_is_made_has_eight_digits_and_passes_the_rules(random: [u8; 32], own in "[0-9]{4}") {
            let own = [Number::new(&own).unwrap()];
            let pin = generate(random, &own);
            prop_assert_eq!(pin.expose().len(), 8);
            prop_assert_eq!(check(&pin, &own), Ok(()));
        }

        #[test]
        fn no_pin_makes_the_rules_panic(digits in "[0-9]{1,12}", own in "[0-9*]{1,20}") {
            let _ = check(&Pin::new(&digits).unwrap(), &[Number::new(&own).unwrap()]);
        }
    }
}
