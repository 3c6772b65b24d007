//! Requests inside a dialog from another connection or address than its own: they count if they come from the same
//! caller, who shows that as for a new call (design.md "Who may call").

use hushbox_policy::Now;
use hushbox_sip::{Elsewhere, Rejection, RequestId, Session};

use super::guard::Challenged;
use super::identity::{Shown, Verdict};
use super::{Lack, Output, Signalling};

impl Signalling {
    pub(super) fn elsewhere(
        &mut self,
        now: Now,
        session: Session,
        id: RequestId,
        request: &Elsewhere,
    ) {
        let at = now.monotonic;
        let call = self.sessions.get(&session);
        let Some(caller) = call.and_then(|call| self.callers.get(call)).copied() else {
            return self.endpoint.refuse_elsewhere(at, id, &Rejection::new(481));
        };
        let lack = match self.identify(now, Shown::from(request)) {
            Verdict::Known(who) if who == caller => {
                if request.flow.connection.is_some() {
                    self.outputs.push_back(Output::Known { flow: request.flow });
                }
                return self.endpoint.admit_elsewhere(at, id);
            }
            Verdict::Known(_) | Verdict::Ambiguous | Verdict::Stranger => Lack::Credentials,
            Verdict::Stale => Lack::FreshNonce,
            Verdict::Wrong => Lack::RightDigest,
        };
        if self.uses_digest(caller, request.flow.transport) {
            self.ask_again(now, Shown::from(request), Challenged::Elsewhere(id), lack);
        } else {
            self.endpoint.refuse_elsewhere(at, id, &Rejection::new(481));
        }
    }
}
