import { CreateSpacesAndAssets1790000000000 } from './1790000000000-create-spaces-and-assets.js';
import { CreatePrincipals1790000000001 } from './1790000000001-create-principals.js';
import { CreateDocuments1790000000002 } from './1790000000002-create-documents.js';
import { CreatePartitionFunctions1790000000003 } from './1790000000003-create-partition-functions.js';
import { CreateRuns1790000000004 } from './1790000000004-create-runs.js';
import { CreateSchedules1790000000005 } from './1790000000005-create-schedules.js';
import { CreateOutbox1790000000006 } from './1790000000006-create-outbox.js';
import { CreateAudit1790000000007 } from './1790000000007-create-audit.js';
import { CreateEnrolments1790000000008 } from './1790000000008-create-enrolments.js';
import { AllowEnrolCommands1790000000009 } from './1790000000009-allow-enrol-commands.js';
import { AddStepEffect1790000000010 } from './1790000000010-add-step-effect.js';
import { AddRollout1790000000011 } from './1790000000011-add-rollout.js';
import { AddFlowSteps1790000000012 } from './1790000000012-add-flow-steps.js';
import { AddDetachedSteps1790000000013 } from './1790000000013-add-detached-steps.js';
import { CreateNotifications1790000000014 } from './1790000000014-create-notifications.js';
import { AddCapacity1790000000015 } from './1790000000015-add-capacity.js';
import { CreatePlans1790000000016 } from './1790000000016-create-plans.js';
import { AddRollback1790000000017 } from './1790000000017-add-rollback.js';
import { CreateApprovals1790000000018 } from './1790000000018-create-approvals.js';
import { AddJumpHosts1790000000040 } from './1790000000040-add-jump-hosts.js';
import { AddContinuedRuns1790000000041 } from './1790000000041-add-continued-runs.js';
import { CreateRunHistories1790000000042 } from './1790000000042-create-run-histories.js';
import { AddEngineVersion1790000000043 } from './1790000000043-add-engine-version.js';
import { OrderClaimsByIndex1790000000044 } from './1790000000044-order-claims-by-index.js';
import { DropDueIndex1790000000045 } from './1790000000045-drop-due-index.js';
import { AddCarriedSteps1790000000046 } from './1790000000046-add-carried-steps.js';
import { CreatePlanChecks1790000000050 } from './1790000000050-create-plan-checks.js';
import { AllowCheckCommands1790000000051 } from './1790000000051-allow-check-commands.js';
import { AddCallUndo1790000000052 } from './1790000000052-add-call-undo.js';
import { AddWaitingFires1790000000053 } from './1790000000053-add-waiting-fires.js';
import { AttendSchedules1790000000054 } from './1790000000054-attend-schedules.js';
import { AllowCalendarDocuments1790000000055 } from './1790000000055-allow-calendar-documents.js';
import { AddCalendarHolds1790000000056 } from './1790000000056-add-calendar-holds.js';
import { CreateScheduleFeeds1790000000057 } from './1790000000057-create-schedule-feeds.js';
import { AddWorkerBuild1790000000058 } from './1790000000058-add-worker-build.js';
import { FollowSchedules1790000000059 } from './1790000000059-follow-schedules.js';
import { WatchDeadlines1790000000060 } from './1790000000060-watch-deadlines.js';
import { MeasureScheduleRuns1790000000064 } from './1790000000064-measure-schedule-runs.js';
import { MarkStoppedTargets1790000000065 } from './1790000000065-mark-stopped-targets.js';
import { TellFinallyLeft1790000000066 } from './1790000000066-tell-finally-left.js';
import { NotifyOfSchedules1790000000067 } from './1790000000067-notify-of-schedules.js';
import { OrderDeadlines1790000000068 } from './1790000000068-order-deadlines.js';
import { CreatePatchVersions1790000000069 } from './1790000000069-create-patch-versions.js';
import { CreatePatchScans1790000000070 } from './1790000000070-create-patch-scans.js';
import { CreatePatchInstalls1790000000071 } from './1790000000071-create-patch-installs.js';
import { CreateAttemptMemos1790000000072 } from './1790000000072-create-attempt-memos.js';
import { WakeSchedulesTogether1790000000073 } from './1790000000073-wake-schedules-together.js';
import { LeaveOwnEntries1790000000074 } from './1790000000074-leave-own-entries.js';
import { KeepPatchSources1790000000075 } from './1790000000075-keep-patch-sources.js';
import { KeepBootOfScans1790000000076 } from './1790000000076-keep-boot-of-scans.js';
import { LimitScheduleNews1790000000077 } from './1790000000077-limit-schedule-news.js';
import { AllowPatchBaselines1790000000084 } from './1790000000084-allow-patch-baselines.js';
import { KeepReleaseOfScans1790000000085 } from './1790000000085-keep-release-of-scans.js';
import { CreatePatchTestedSets1790000000086 } from './1790000000086-create-patch-tested-sets.js';
import { OrderPatchInstalls1790000000087 } from './1790000000087-order-patch-installs.js';
import { FindWaitsByChild1790000000088 } from './1790000000088-find-waits-by-child.js';
import { FindSignalsByRun1790000000089 } from './1790000000089-find-signals-by-run.js';
import { FindWakings1790000000090 } from './1790000000090-find-wakings.js';

/** All migrations, oldest first: an explicit list, so that none is found or missed by its folder. */
export const migrations = [
  CreateSpacesAndAssets1790000000000,
  CreatePrincipals1790000000001,
  CreateDocuments1790000000002,
  CreatePartitionFunctions1790000000003,
  CreateRuns1790000000004,
  CreateSchedules1790000000005,
  CreateOutbox1790000000006,
  CreateAudit1790000000007,
  CreateEnrolments1790000000008,
  AllowEnrolCommands1790000000009,
  AddStepEffect1790000000010,
  AddRollout1790000000011,
  AddFlowSteps1790000000012,
  AddDetachedSteps1790000000013,
  CreateNotifications1790000000014,
  AddCapacity1790000000015,
  CreatePlans1790000000016,
  AddRollback1790000000017,
  CreateApprovals1790000000018,
  AddJumpHosts1790000000040,
  AddContinuedRuns1790000000041,
  CreateRunHistories1790000000042,
  AddEngineVersion1790000000043,
  OrderClaimsByIndex1790000000044,
  DropDueIndex1790000000045,
  AddCarriedSteps1790000000046,
  CreatePlanChecks1790000000050,
  AllowCheckCommands1790000000051,
  AddCallUndo1790000000052,
  AddWaitingFires1790000000053,
  AttendSchedules1790000000054,
  AllowCalendarDocuments1790000000055,
  AddCalendarHolds1790000000056,
  CreateScheduleFeeds1790000000057,
  AddWorkerBuild1790000000058,
  FollowSchedules1790000000059,
  WatchDeadlines1790000000060,
  MeasureScheduleRuns1790000000064,
  MarkStoppedTargets1790000000065,
  TellFinallyLeft1790000000066,
  NotifyOfSchedules1790000000067,
  OrderDeadlines1790000000068,
  CreatePatchVersions1790000000069,
  CreatePatchScans1790000000070,
  CreatePatchInstalls1790000000071,
  CreateAttemptMemos1790000000072,
  WakeSchedulesTogether1790000000073,
  LeaveOwnEntries1790000000074,
  KeepPatchSources1790000000075,
  KeepBootOfScans1790000000076,
  LimitScheduleNews1790000000077,
  AllowPatchBaselines1790000000084,
  KeepReleaseOfScans1790000000085,
  CreatePatchTestedSets1790000000086,
  OrderPatchInstalls1790000000087,
  FindWaitsByChild1790000000088,
  FindSignalsByRun1790000000089,
  FindWakings1790000000090,
];
