package phalatest

// handlers are the operations that are faked.
func handlers() map[string]handler {
	return map[string]handler{
		"CVMs.Provision":          provisionCVM,
		"CVMs.Create":             createCVM,
		"CVMs.ListAll":            listAllCVMs,
		"CVMs.List":               listCVMs,
		"CVMs.Get":                onCVM(getCVM),
		"CVMs.GetState":           onCVM(getState),
		"CVMs.GetComposeFile":     onCVM(getComposeFile),
		"CVMs.GetDockerCompose":   onCVM(getDockerCompose),
		"CVMs.GetPreLaunchScript": onCVM(getPreLaunchScript),
		"CVMs.GetNetwork":         onCVM(getNetwork),
		"CVMs.GetStatuses":        getStatuses,
		"CVMs.UpdateEnvs":         whenIdle(updateEnvs),
		"CVMs.Start":              whenIdle(startCVM),
		"CVMs.Stop":               onCVM(stopCVM),
		"CVMs.Shutdown":           whenIdle(shutdownCVM),
		"CVMs.Restart":            whenIdle(restartCVM),
		"CVMs.Delete":             onCVM(deleteCVM),

		"Apps.List":     listApps,
		"Apps.Get":      onApp(func(s *Server, vm *cvm) answer { return ok(s.describeApp(vm)) }),
		"Apps.ListCVMs": onApp(func(s *Server, vm *cvm) answer { return ok([]object{s.describeCVM(vm)}) }),

		"KMS.List":               listKMS,
		"KMS.Get":                onKMS(getKMS),
		"KMS.Inspect":            onKMS(inspectKMS),
		"KMS.GetAppEnvPublicKey": onKMS(getEnvKey),
		"KMS.GetNextAppIDs":      nextAppIDs,

		"Webhooks.Create":         createWebhook,
		"Webhooks.Delete":         onWebhook(deleteWebhook),
		"Webhooks.Get":            onWebhook(getWebhook),
		"Webhooks.GetStats":       onWebhook(webhookStats),
		"Webhooks.List":           withWebhooks(listWebhooks),
		"Webhooks.ListDeliveries": onWebhook(listDeliveries),
		"Webhooks.Resend":         onWebhook(resendDelivery),
		"Webhooks.RevealSecret":   onWebhook(revealWebhookSecret),
		"Webhooks.RotateSecret":   onWebhook(rotateWebhookSecret),
		"Webhooks.Test":           onWebhook(testWebhook),
		"Webhooks.Update":         onWebhook(updateWebhook),
	}
}
