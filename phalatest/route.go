package phalatest

import "github.com/phala-go/phala/phalatest/internal/description"

// operationName is an operation as service and method, such as "CVMs.Create".
type operationName string

// route is one operation as the generated table lists it.
type route struct {
	operation   operationName
	verb        string
	path        string
	status      int
	answer      func(*Server, *call) answer
	public      bool
	optionalKey bool
}

// described is how the description names the operation.
func (r *route) described() description.Route { return description.Route{Verb: r.verb, Path: r.path} }

// Each operation of the API has a method here that handles it. The generated route table refers to all of them, so
// that a missing one does not compile.

func (s *Server) answerCVMsProvision(c *call) answer      { return provisionCVM(s, c) }
func (s *Server) answerCVMsProvisionEliza(c *call) answer { return provisionEliza(s, c) }
func (s *Server) answerCVMsCreate(c *call) answer         { return createCVM(s, c) }
func (s *Server) answerCVMsCreateEliza(c *call) answer    { return createCVM(s, c) }
func (s *Server) answerCVMsCreateWorkload(c *call) answer { return createWorkload(s, c) }

func (s *Server) answerCVMsListAll(c *call) answer            { return listAllCVMs(s, c) }
func (s *Server) answerCVMsList(c *call) answer               { return listCVMs(s, c) }
func (s *Server) answerCVMsGet(c *call) answer                { return onCVM(getCVM)(s, c) }
func (s *Server) answerCVMsGetState(c *call) answer           { return onCVM(getState)(s, c) }
func (s *Server) answerCVMsGetStatuses(c *call) answer        { return getStatuses(s, c) }
func (s *Server) answerCVMsGetStats(c *call) answer           { return onCVM(getStats)(s, c) }
func (s *Server) answerCVMsGetComposeFile(c *call) answer     { return onCVM(getComposeFile)(s, c) }
func (s *Server) answerCVMsGetDockerCompose(c *call) answer   { return onCVM(getDockerCompose)(s, c) }
func (s *Server) answerCVMsGetPreLaunchScript(c *call) answer { return onCVM(getPreLaunchScript)(s, c) }
func (s *Server) answerCVMsGetUserConfig(c *call) answer      { return onCVM(getUserConfig)(s, c) }
func (s *Server) answerCVMsGetAttestation(c *call) answer     { return onCVM(getAttestation)(s, c) }
func (s *Server) answerCVMsGetComposition(c *call) answer     { return onCVM(getComposition)(s, c) }
func (s *Server) answerCVMsCheckAllowed(c *call) answer       { return onCVM(checkCVMAllowed)(s, c) }

func (s *Server) answerCVMsStart(c *call) answer     { return whenIdle(startCVM)(s, c) }
func (s *Server) answerCVMsStop(c *call) answer      { return onCVM(stopCVM)(s, c) }
func (s *Server) answerCVMsStopBatch(c *call) answer { return stopBatch(s, c) }
func (s *Server) answerCVMsShutdown(c *call) answer  { return whenIdle(shutdownCVM)(s, c) }
func (s *Server) answerCVMsRestart(c *call) answer   { return whenIdle(restartCVM)(s, c) }
func (s *Server) answerCVMsDelete(c *call) answer    { return onCVM(deleteCVM)(s, c) }

func (s *Server) answerCVMsListOperations(c *call) answer     { return onCVM(listOperations)(s, c) }
func (s *Server) answerCVMsGetOperationStatus(c *call) answer { return onCVM(operationStatus)(s, c) }
func (s *Server) answerCVMsCancelOperation(c *call) answer    { return onCVM(cancelOperation)(s, c) }

func (s *Server) answerCVMsUpdate(c *call) answer     { return whenIdle(updateCVM)(s, c) }
func (s *Server) answerCVMsUpdateEnvs(c *call) answer { return whenIdle(updateEnvs)(s, c) }
func (s *Server) answerCVMsUpdateDockerCompose(c *call) answer {
	return whenIdle(updateMember("docker_compose_file"))(s, c)
}
func (s *Server) answerCVMsUpdatePreLaunchScript(c *call) answer {
	return whenIdle(updateMember("pre_launch_script"))(s, c)
}
func (s *Server) answerCVMsUpdateOSImage(c *call) answer       { return whenIdle(updateImage)(s, c) }
func (s *Server) answerCVMsUpdateResources(c *call) answer     { return whenIdle(updateResources)(s, c) }
func (s *Server) answerCVMsUpdateVisibility(c *call) answer    { return whenIdle(updateVisibility)(s, c) }
func (s *Server) answerCVMsGetPreLaunchUpgrade(c *call) answer { return onCVM(upgradeStatus)(s, c) }
func (s *Server) answerCVMsUpgradePreLaunch(c *call) answer    { return whenIdle(upgradePreLaunch)(s, c) }
func (s *Server) answerCVMsListAvailableOSImages(c *call) answer {
	return onCVM(listAvailableImages)(s, c)
}
func (s *Server) answerCVMsProvisionComposeUpdate(c *call) answer {
	return onCVM(provisionUpdate)(s, c)
}
func (s *Server) answerCVMsCommitComposeUpdate(c *call) answer {
	return whenIdle(commitComposeUpdate)(s, c)
}
func (s *Server) answerCVMsSubmitComposeFile(c *call) answer {
	return whenIdle(submitComposeFile)(s, c)
}
func (s *Server) answerCVMsGetCommitUpdate(c *call) answer  { return onCVM(getCommitUpdate)(s, c) }
func (s *Server) answerCVMsCommitUpdate(c *call) answer     { return whenIdle(commitUpdate)(s, c) }
func (s *Server) answerCVMsRedeployRevision(c *call) answer { return whenIdle(redeployCVM)(s, c) }
func (s *Server) answerCVMsReplicate(c *call) answer        { return onCVM(replicate)(s, c) }
func (s *Server) answerCVMsCommitReplica(c *call) answer    { return onCVM(commitReplica)(s, c) }

func (s *Server) answerCVMsRename(c *call) answer             { return onCVM(rename)(s, c) }
func (s *Server) answerCVMsSetListed(c *call) answer          { return onCVM(setListed)(s, c) }
func (s *Server) answerCVMsScheduleDelete(c *call) answer     { return onCVM(scheduleDelete)(s, c) }
func (s *Server) answerCVMsRefreshInstanceID(c *call) answer  { return onCVM(refreshInstanceID)(s, c) }
func (s *Server) answerCVMsRefreshInstanceIDs(c *call) answer { return refreshInstanceIDs(s, c) }
func (s *Server) answerCVMsGetNetwork(c *call) answer         { return onCVM(getNetwork)(s, c) }
func (s *Server) answerCVMsGetNetworkConfig(c *call) answer   { return onCVM(getNetworkConfig)(s, c) }
func (s *Server) answerCVMsUpdateNetworkConfig(c *call) answer {
	return onCVM(updateNetworkConfig)(s, c)
}
func (s *Server) answerCVMsListPorts(c *call) answer         { return onCVM(listPorts)(s, c) }
func (s *Server) answerCVMsSetPorts(c *call) answer          { return whenIdle(setPorts)(s, c) }
func (s *Server) answerCVMsGetFirewallStatus(c *call) answer { return onCVM(firewallStatus)(s, c) }
func (s *Server) answerCVMsDiagnoseDomains(c *call) answer   { return onCVM(diagnoseDomains)(s, c) }
func (s *Server) answerCVMsListSSHKeys(c *call) answer       { return onCVM(listCVMKeys)(s, c) }
func (s *Server) answerCVMsSetSSHKeys(c *call) answer        { return onCVM(setCVMKeys)(s, c) }

func (s *Server) answerAppsList(c *call) answer               { return listApps(s, c) }
func (s *Server) answerAppsGetFilterOptions(c *call) answer   { return filterOptions(s, c) }
func (s *Server) answerAppsGet(c *call) answer                { return onApp(getApp)(s, c) }
func (s *Server) answerAppsListCVMs(c *call) answer           { return onApp(listAppCVMs)(s, c) }
func (s *Server) answerAppsReplicate(c *call) answer          { return onInstance(replicate)(s, c) }
func (s *Server) answerAppsCreateInstance(c *call) answer     { return onApp(createInstance)(s, c) }
func (s *Server) answerAppsListRevisions(c *call) answer      { return onApp(listRevisions)(s, c) }
func (s *Server) answerAppsGetRevision(c *call) answer        { return onApp(getRevision)(s, c) }
func (s *Server) answerAppsRedeployRevision(c *call) answer   { return onApp(redeployApp)(s, c) }
func (s *Server) answerAppsGetUsage(c *call) answer           { return onApp(getUsage)(s, c) }
func (s *Server) answerAppsListPendingUpdates(c *call) answer { return onApp(listPending)(s, c) }
func (s *Server) answerAppsPreviewPendingUpdate(c *call) answer {
	return onInstance(previewPending)(s, c)
}
func (s *Server) answerAppsCheckAllowed(c *call) answer       { return onApp(checkAllowed)(s, c) }
func (s *Server) answerAppsCheckCVMsAllowed(c *call) answer   { return onApp(checkCVMsAllowed)(s, c) }
func (s *Server) answerAppsGetDeviceAllowlist(c *call) answer { return onApp(deviceAllowlist)(s, c) }
func (s *Server) answerAppsGetKMSInfo(c *call) answer         { return onApp(appKMSInfo)(s, c) }
func (s *Server) answerAppsGetAttestations(c *call) answer    { return onApp(getAppAttestations)(s, c) }
func (s *Server) answerAppsEvaluateTCB(c *call) answer        { return onApp(evaluateTCB)(s, c) }

func (s *Server) answerKMSList(c *call) answer               { return listKMS(s, c) }
func (s *Server) answerKMSGet(c *call) answer                { return onKMS(getKMS)(s, c) }
func (s *Server) answerKMSInspect(c *call) answer            { return onKMS(inspectKMS)(s, c) }
func (s *Server) answerKMSGetAppEnvPublicKey(c *call) answer { return onKMS(getEnvKey)(s, c) }
func (s *Server) answerKMSGetNextAppIDs(c *call) answer      { return nextAppIDs(s, c) }
func (s *Server) answerKMSGetOnChain(c *call) answer         { return getOnChain(s, c) }
func (s *Server) answerKMSListContractNodes(c *call) answer  { return listContractNodes(s, c) }

func (s *Server) answerAccountGet(c *call) answer         { return getAccount(s, c) }
func (s *Server) answerAccountRevokeToken(c *call) answer { return revokeToken(s, c) }

func (s *Server) answerWorkspacesList(c *call) answer { return listWorkspaces(s, c) }
func (s *Server) answerWorkspacesGet(c *call) answer  { return onWorkspace(getWorkspace)(s, c) }
func (s *Server) answerWorkspacesListNodes(c *call) answer {
	return onWorkspace(listWorkspaceNodes)(s, c)
}
func (s *Server) answerWorkspacesGetQuotas(c *call) answer { return onWorkspace(getQuotas)(s, c) }

func (s *Server) answerNodesListAvailable(c *call) answer       { return listAvailable(s, c) }
func (s *Server) answerNodesListCreateResources(c *call) answer { return listCreateResources(s, c) }
func (s *Server) answerOSImagesList(c *call) answer             { return listImages(s, c) }

func (s *Server) answerInstanceTypesList(c *call) answer       { return listInstanceTypes(s, c) }
func (s *Server) answerInstanceTypesListFamily(c *call) answer { return listFamily(s, c) }

func (s *Server) answerAttestationsVerify(c *call) answer        { return verifyQuote(s, c) }
func (s *Server) answerAttestationsListRecent(c *call) answer    { return listRecentQuotes(s, c) }
func (s *Server) answerAttestationsView(c *call) answer          { return onQuote(viewQuote)(s, c) }
func (s *Server) answerAttestationsGetCollateral(c *call) answer { return onQuote(getCollateral)(s, c) }
func (s *Server) answerAttestationsGetRaw(c *call) answer        { return onQuote(getRawQuote)(s, c) }
func (s *Server) answerAttestationsCheckRaw(c *call) answer      { return onQuote(getRawQuote)(s, c) }
func (s *Server) answerAttestationsListPPIDs(c *call) answer     { return listPPIDs(s, c) }
func (s *Server) answerAttestationsListDeviceIDs(c *call) answer { return listDeviceIDs(s, c) }
func (s *Server) answerAttestationsListNodes(c *call) answer     { return listNodes(s, c) }

func (s *Server) answerSSHKeysList(c *call) answer         { return listSSHKeys(s, c) }
func (s *Server) answerSSHKeysCreate(c *call) answer       { return createSSHKey(s, c) }
func (s *Server) answerSSHKeysDelete(c *call) answer       { return deleteSSHKey(s, c) }
func (s *Server) answerSSHKeysImportGitHub(c *call) answer { return importGitHub(s, c) }
func (s *Server) answerSSHKeysSyncGitHub(c *call) answer   { return syncGitHub(s, c) }

func (s *Server) answerWebhooksCreate(c *call) answer         { return createWebhook(s, c) }
func (s *Server) answerWebhooksDelete(c *call) answer         { return onWebhook(deleteWebhook)(s, c) }
func (s *Server) answerWebhooksGet(c *call) answer            { return onWebhook(getWebhook)(s, c) }
func (s *Server) answerWebhooksGetStats(c *call) answer       { return onWebhook(webhookStats)(s, c) }
func (s *Server) answerWebhooksList(c *call) answer           { return withWebhooks(listWebhooks)(s, c) }
func (s *Server) answerWebhooksListDeliveries(c *call) answer { return onWebhook(listDeliveries)(s, c) }
func (s *Server) answerWebhooksResend(c *call) answer         { return onWebhook(resendDelivery)(s, c) }
func (s *Server) answerWebhooksRevealSecret(c *call) answer {
	return onWebhook(revealWebhookSecret)(s, c)
}
func (s *Server) answerWebhooksRotateSecret(c *call) answer {
	return onWebhook(rotateWebhookSecret)(s, c)
}
func (s *Server) answerWebhooksTest(c *call) answer   { return onWebhook(testWebhook)(s, c) }
func (s *Server) answerWebhooksUpdate(c *call) answer { return onWebhook(updateWebhook)(s, c) }
