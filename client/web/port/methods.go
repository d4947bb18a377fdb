package port

import "github.com/peerbrain/peerbrain/client"

// methods are all that a page may call.
var methods = map[string]method{
	"state":    taking(state),
	"register": taking(register),
	"login":    taking(login),
	"recover":  taking(recoverAccount),
	"logout":   taking(logout),

	"feed":    asking(feed),
	"read":    asking(read),
	"follow":  taking(follow),
	"post":    taking(post),
	"waiting": taking(waiting),

	"begun":      asking(begun),
	"begun.keep": asking(keepBegun),

	"friends":         asking(friends),
	"friend.add":      befriending((*client.Person).AddFriend),
	"friend.accept":   befriending((*client.Person).AcceptFriend),
	"friend.decline":  unfriending((*client.Person).DeclineFriend),
	"friend.cancel":   unfriending((*client.Person).CancelFriend),
	"friend.remove":   unfriending((*client.Person).RemoveFriend),
	"friend.safety":   asking(safety),
	"friend.verify":   asking(verify),
	"friend.unverify": unfriending((*client.Person).UnverifyFriend),
	"invitation":      taking(invitation),

	"sessions":           asking(sessions),
	"sessions.end":       asking(endSession),
	"sessions.endOthers": asking(endOthers),

	"passwd":        asking(passwd),
	"checkCode":     asking(checkCode),
	"renewCode":     asking(renewCode),
	"deleteAccount": taking(deleteAccount),

	"secondFactor":       asking(factor),
	"secondFactor.begin": taking(beginFactor),
	"secondFactor.on":    taking(factorOn),
	"secondFactor.off":   asking(factorOff),
	"secondFactor.codes": asking(backupCodes),
}
